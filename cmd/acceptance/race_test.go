//go:build race

package acceptance_test

// raced says that the tests, and so the program, run under the race detector.
const raced = true
