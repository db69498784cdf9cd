package main

import "github.com/spf13/cobra"

// clientCommands are the commands of the client half; its author replaces this file.
func clientCommands() []*cobra.Command { return nil }
