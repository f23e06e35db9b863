// Package bench measures what answers cost: it starts a simulated model and one system
// before it, loads that, goes on to the next system, and sets their figures beside each
// other.
//
// Rules it keeps:
//
//   - Each measurement has fresh processes and a load before it that does not count.
//   - Systems take turns, in another order each time: what changes slowly on a shared
//     machine meets all of them. Ratios are made within a turn, between neighbours in time;
//     what is shown is their median, the lowest and the highest.
//   - Processor time is that of a system's processes from the first request of a load to a
//     moment after the last, divided by all right answers.
//   - What went to neither system, model nor load is named, for it makes figures worse.
//
// Parts: load asks and checks, mockmodel answers, answer is the text that both know,
// histogram counts durations, proc tells what processes cost, floor is the yardstick.
package bench
