// Package socket makes TCP and Unix connections cheaper for programs that use them thousands
// of times a second.
//
// Each system call of a connection of package net tells Go's scheduler that its
// thread may block, though on a socket it never does. After a moment of idleness that
// wakes the scheduler's watchdog thread, which then looks around every few dozen
// microseconds. A program that is woken a thousand times a second spends a sixth of
// its processor time so. Connections of this package make the same calls on the same
// descriptors, wait in the same poller and obey the same deadlines, without telling.
//
// A program that reads many streams is woken for each piece of each. A [Gatherer] has
// connections of its own kind for it, whose readers are woken together.
//
// The rules it keeps:
//
//   - Errors are those of package net, in type, text and what errors.Is finds in them.
//   - Long writes go the usual way: what is not told holds up a garbage collection.
//   - Where the system is not Linux, and under the race detector, a connection is what
//     it was.
package socket
