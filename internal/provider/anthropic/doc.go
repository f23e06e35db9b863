// Package anthropic lets a worker serve chat completions from Anthropic's Messages
// API, or from any server that speaks it.
//
// Rules it keeps:
//
//   - Mapping a request, and mapping a stream, are pure: values in, values out.
//     Only provider.go touches the network.
//   - The server is always called with stream:true, whatever the client asked for,
//     and with anthropic-version 2023-06-01. The key is in no error and no log line.
//   - What a model can do comes from one table (capability.go), which the
//     configuration can override row by row. A parameter that a model refuses is
//     dropped or translated, never sent in hope.
//   - Content is never dropped silently: a part that the API cannot take is a 400
//     that names the field and the remedy, and another target may serve it.
//   - An answer is complete after message_stop with a stop reason and not before: a
//     stream that ends early is an error, whatever it said.
//   - Only content counts as progress: pings reset no timer.
package anthropic
