//go:build unix

package http1

import "syscall"

// nothingArrived reads without waiting and reports whether the socket is open and
// has nothing to say.
func nothingArrived(fd uintptr, buf []byte) bool {
	_, err := syscall.Read(int(fd), buf)
	return err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR
}
