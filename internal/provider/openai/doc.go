// Package openai lets a worker serve chat completions from any server that speaks
// OpenAI's API: OpenAI, Azure, vLLM, SGLang, Ollama, llama.cpp, LM Studio, TGI, Groq,
// xAI, DeepSeek, Mistral, Together, OpenRouter, Gemini's compatible endpoint.
//
// Rules it keeps:
//
//   - The client's body goes upstream byte for byte, except for model, stream,
//     stream_options.include_usage, and what Osiris itself consumes (store, metadata,
//     background). Renaming a parameter or a role happens only when configured.
//   - The headers are the adapter's own: nothing that the client sent, least of all
//     its key, is among them.
//   - What comes back is read by what it is, not by what it calls itself: a stream may
//     answer a plain request, JSON a streaming one, and a 200 may be an error.
//   - An answer is complete when every choice has a finish reason. [DONE] or the end
//     of the body before that is an error, never a stop.
//   - Peculiarities of chunks (content in parts, tool calls without index, a name
//     that is repeated) are not repaired here: pkg/protocol reads and writes them.
package openai
