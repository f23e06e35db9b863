// Package echo is the built-in model: it repeats the last user message token by
// token. It needs no key, no network and no configuration, counts its tokens truly,
// and does on demand whatever a model server may do to its caller.
//
// What it says: the text of the last message if that is a tool's result, else of the
// last user message; pictures, sounds and files are described in brackets. It keeps
// max_tokens, stop, n, logprobs and response_format (a JSON object {"echo": text}, or
// the smallest instance of a schema; text that is a JSON object already stays as it
// is). It calls a tool when tool_choice or function_call demands one.
//
// A token is a word of letters and digits of at most 16 characters, a run of
// punctuation, or an ideograph, each with the white space before it. Usage counts the
// tokens of all text in the messages, and of everything said.
//
// Knobs follow the model's name as a query, or come as request metadata with the
// prefix echo_, which wins:
//
//	{"model": "echo?first=2s&delay=20ms", …}
//	{"model": "echo", "metadata": {"echo_first": "2s", "echo_delay": "20ms"}, …}
//
//	first=2s          time before the first token
//	delay=20ms        time between tokens
//	text=…            say this instead
//	repeat=3          say it so many times over
//	tokens=100        say so many tokens, from the start again if need be
//	big=5000000       let the first token have so many bytes
//	reasoning=…       think this first, as reasoning_content
//	refusal=…         refuse with these words
//	tool=get_weather  call this tool, even one that was not offered
//	args={"a":1}      with these arguments; otherwise the smallest that fit its schema
//	calls=3           so many calls at once
//	finish=length     claim this finish reason
//	usage=off         report no usage
//	error=429         fail with this status; error=cut ends the answer early,
//	                  error=hang falls silent for good
//	after=3           fail after so many tokens instead of before the first
//	retry_after=5s    what an error asks for
//	message=…         what an error says
//
// After a tool's result, tool= has no effect, so that a loop of calls ends.
//
// Rules it keeps: the same request gets the same answer; the whole answer is the fold
// of the streamed one; it never outlives its context, and the limits of the call hold
// for it as for any server; what it says is bounded by 64 MB and a million tokens.
package echo
