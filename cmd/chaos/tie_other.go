//go:build !linux

package main

import "syscall"

// tied does nothing: only Linux ends a process with the one that started it.
func tied() *syscall.SysProcAttr { return nil }
