//go:build !linux || race

package socket

import "net"

// Quick returns c: only on Linux is something gained, and the race detector takes what
// comes after what from the system calls of package syscall.
func Quick(c net.Conn) net.Conn { return c }
