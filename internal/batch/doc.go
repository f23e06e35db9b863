// Package batch drives batches: it checks the input, keeps a window of lines in the
// queue, gathers their results and writes the files.
//
//	run (lease) ─► claim ─► validate ─► run lines ─► finish ─► bury
//	                 │          │           │           │
//	               fence      plan       results      files
//
// A batch is never expanded into messages. What is stored of it is one small object
// and, for every line that has ended, its result, which the worker stored before it
// told anybody. So whoever takes a batch over knows which lines are done by reading
// the results, and finds the others by reading the input again.
//
// Rules, each followed by the tests that hold it:
//
//  1. Every line ends in exactly one line of one file, and the counts reach the
//     total, whenever and however often drivers die (TestDriverDiesAfterEachWrite,
//     TestDriversDieAtRandom).
//  2. A line has one result, the first; lines of a batch that is cancelled or
//     expires get one too before its files are written. The files follow from the
//     results alone, so two drivers that write them write the same.
//  3. The lease (jobs.Run) says who ought to drive; the fence in the batch says who
//     may write. A driver that was replaced finds out at its next write and stops.
//  4. Status and counts only move forward, for whoever looks (history in the tests).
//  5. At a shutdown batches are handed over at once, and lines that
//     are running end there: none runs twice (TestDriverHandsOver).
//  6. A line runs by the permissions that its batch's key has then
//     (TestBatchOfARevokedKey). A line whose request is no good, or that a model
//     refuses, has that answer; what may pass is tried until the window closes, with
//     pauses that grow (TestThrottle), also when the driver changes
//     (TestTakeoverKeepsTries).
//  7. Batches of one pool share its queue by tenant, then by batch (TestWindow), and
//     memory is bounded: a megabyte or two for the plan of a batch, a few KB for each
//     of the lines in the window, four MB for reading and writing (BenchmarkBatch).
//  8. No tenant's batches hold back another's: those that may run at once are shared by
//     tenants, which take turns if need be, and one that waits is cancelled, and
//     expires, like any other (TestPlacesProperty, TestBatchesTakeTurns).
//  9. Lines with "store": true are completions before their batch has ended, by the
//     ids of the output file (TestBatchKeepsAnswers).
//  10. Interactive work goes first: lines are jobs of the lowest class, and go into the
//     queue in small bursts (TestBatchDelaysNobody, TestPacer).
package batch
