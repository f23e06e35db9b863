package protocol

// mapFinish maps a provider's finish reason to one of the schema's: "" if there
// is none. failed is for reasons that say that the answer broke off through the
// server's fault: such an answer must not look complete. A server short of
// resources cuts the answer, which is told as a length.
//
// tools says that the choice has called a tool: some servers end such an answer
// with "stop", and clients that see it call nothing.
func mapFinish(said string, tools bool) (reason string, failed bool) {
	switch said {
	case "":
		return "", false
	case "length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded",
		"insufficient_system_resource", "MAX_TOKENS":
		return "length", false
	case "content_filter", "content_filtered", "refusal", "safety", "sensitive",
		"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII":
		return "content_filter", false
	case "tool_calls", "tool_use", "tool_call":
		return "tool_calls", false
	case "function_call":
		return "function_call", false
	case "error", "ERROR", "network_error", "abort", "cancelled":
		return "", true
	}
	// stop, eos, end_turn, stop_sequence and whatever else may come
	if tools {
		return "tool_calls", false
	}
	return "stop", false
}
