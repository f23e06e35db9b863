// Package proc tells what processes cost: processor time and memory, with all their
// threads and descendants. Only Linux tells; elsewhere every call returns ErrUnsupported.
//
// Rules it keeps:
//
//   - Processor time is the sum of what the scheduler counted for each thread, in
//     nanoseconds (/proc/PID/task/TID/schedstat), and not the ticks of /proc/PID/stat, of
//     which a short run has few. Where the kernel has no schedstat it is the ticks.
//   - Counts never go back: a thread or a child that ended keeps what it had when it was
//     last seen, a fifth of a second before at most.
//   - Memory is the resident set. Processes of one binary share its pages, which are counted
//     in each of them.
package proc
