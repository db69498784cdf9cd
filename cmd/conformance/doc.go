// Package conformance holds the adapters of package exchange against the sandbox: that
// the two understand each other, and that each fault of the sandbox gets the class of
// outcome it deserves.
//
// It has tests only. They live here because this is the first module that may know both.
package conformance
