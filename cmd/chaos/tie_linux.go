package main

import "syscall"

// tied makes the kernel end a process when this program has ended, however it did.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
