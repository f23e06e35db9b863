package protocol

import (
	"fmt"
	"strings"
	"testing"
)

const hi = `[{"role":"user","content":"hi"}]`

// withParams is a request that is right but for the members given.
func withParams(members string) string { return `{"model":"m","messages":` + hi + `,` + members + `}` }

// withMessages is a request with these messages.
func withMessages(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }

// fault is the error expected for one request.
type faultCase struct {
	name    string
	body    string
	param   string
	code    string
	message string
}

var faultCases = []faultCase{
	// What is kept.
	{"background that is not stored", withParams(`"background":true,"store":false`), "store", "invalid_value",
		"Invalid value: 'false'. 'store' must be true, or left out, when 'background' is true: the answer has to be kept until you fetch it."},
	{"background is no boolean", withParams(`"background":"yes"`), "background", "invalid_type", "Invalid type for 'background': expected a boolean, but got a string instead."},

	// The whole body.
	{"empty", ``, "", "", badJSONText},
	{"blanks", " \n", "", "", badJSONText},
	{"not JSON", `hello`, "", "", badJSONText},
	{"truncated", `{"model":"m","messages":[`, "", "", badJSONText},
	{"trailing comma", `{"model":"m",}`, "", "", badJSONText},
	{"trailing data", withMessages(`{"role":"user","content":"x"}`) + `{}`, "", "", badJSONText},
	{"byte order mark", "\ufeff" + withMessages(`{"role":"user","content":"x"}`), "", "", badJSONText},
	{"not UTF-8", withMessages("{\"role\":\"user\",\"content\":\"a\xffb\"}"), "", "", badJSONText},
	{"lone surrogate", withMessages(`{"role":"user","content":"\ud83d"}`), "", "", badJSONText},
	{"control character", withMessages("{\"role\":\"user\",\"content\":\"a\nb\"}"), "", "", badJSONText},
	{"bad JSON beats every fault", `{"n":0,"messages":[],"x":01}`, "", "", badJSONText},
	{"array", `[]`, "", "invalid_type", "Invalid type: expected an object, but got an array instead."},
	{"string", `"x"`, "", "invalid_type", "Invalid type: expected an object, but got a string instead."},
	{"null", ` null `, "", "invalid_type", "Invalid type: expected an object, but got null instead."},
	{"integer", `5 `, "", "invalid_type", "Invalid type: expected an object, but got an integer instead."},
	{"decimal", ` -5.5`, "", "invalid_type", "Invalid type: expected an object, but got a decimal number instead."},
	{"array with trailing data", `[] x`, "", "", badJSONText},
	{"duplicate top-level key", `{"model":"m","model":"n"}`, "model", "", duplicateText("model")},
	{"duplicate escaped key", `{"model":"m","mo\u0064el":"n"}`, "model", "", duplicateText("model")},
	{"duplicate nested key", withMessages(`{"role":"user","content":"x"},{"role":"user","role":"tool"}`), "messages[1].role", "", duplicateText("messages[1].role")},
	{"duplicate in the unknown", withParams(`"x":{"0":[1,{"a":1,"a":2}]}`), "x.0[1].a", "", duplicateText("x.0[1].a")},
	{"too deep", withParams(`"x":` + strings.Repeat("[", 600) + strings.Repeat("]", 600)), "", "", deepText},
	{"too deep to parse", strings.Repeat(`{"x":`, 10_001), "", "", deepText},
	{"too deep, not an object", strings.Repeat(`[`, 10_001), "", "", deepText},
	{"too deep a schema", withParams(`"tools":[{"type":"function","function":{"name":"f","parameters":` + strings.Repeat(`{"x":`, 10_001)), "", "", deepText},
	{"too wide", withParams(`"x":` + wideObject(200_000)), "", "", wideText},
	{"too wide, nested", withParams(`"x":` + strings.Repeat(wideObject(1000)[:len(wideObject(1000))-1]+`,"x":`, 150) + `0`), "", "", wideText},
	{"too wide a dictionary", withParams(`"logit_bias":` + wideObject(200_000)), "", "", wideText},

	// model, then messages, then the rest.
	{"no model", `{"messages":[]}`, "", "", "you must provide a model parameter"},
	{"null model", `{"model":null,"messages":[]}`, "", "", "you must provide a model parameter"},
	{"empty model", `{"messages":[],"model":""}`, "", "", "you must provide a model parameter"},
	{"empty object", `{}`, "", "", "you must provide a model parameter"},
	{"model of wrong type", `{"n":0,"messages":[],"model":5}`, "model", "invalid_type", "Invalid type for 'model': expected a string, but got an integer instead."},
	{"no messages", `{"model":"m","n":0}`, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."},
	{"null messages", `{"n":0,"model":"m","messages":null}`, "messages", "invalid_type", "Invalid type for 'messages': expected an array of objects, but got null instead."},
	{"messages a string", `{"model":"m","messages":"hi"}`, "messages", "invalid_type", "Invalid type for 'messages': expected an array of objects, but got a string instead."},
	{"messages empty", `{"n":0,"model":"m","messages":[]}`, "messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."},
	{"messages before ranges", `{"n":0,"model":"m","messages":[{}]}`, "messages[0].role", "missing_required_parameter", "Missing required parameter: 'messages[0].role'."},
	{"the first fault of the rest", withParams(`"top_p":2,"n":0`), "top_p", "decimal_above_max_value", "Invalid 'top_p': decimal above maximum value. Expected a value <= 1, but got 2 instead."},

	// Messages.
	{"message a string", withMessages(`"hi"`), "messages[0]", "invalid_type", "Invalid type for 'messages[0]': expected an object, but got a string instead."},
	{"message null", withMessages(`null`), "messages[0]", "invalid_type", "Invalid type for 'messages[0]': expected an object, but got null instead."},
	{"unknown role", withMessages(`{"role":"bot","content":"x"}`), "messages[0].role", "invalid_value", "Invalid value: 'bot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'."},
	{"role of wrong type", withMessages(`{"role":1,"content":"x"}`), "messages[0].role", "invalid_type", "Invalid type for 'messages[0].role': expected one of 'system', 'assistant', 'user', 'function', 'tool', or 'developer', but got an integer instead."},
	{"role null", withMessages(`{"content":"x","role":null}`), "messages[0].role", "invalid_type", "Invalid type for 'messages[0].role': expected one of 'system', 'assistant', 'user', 'function', 'tool', or 'developer', but got null instead."},
	{"content missing", withMessages(`{"role":"user"}`), "messages[0].content", "missing_required_parameter", "Missing required parameter: 'messages[0].content'."},
	{"content null", withMessages(`{"role":"user","content":null}`), "messages[0].content", "invalid_type", "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got null instead."},
	{"content an object", withMessages(`{"role":"system","content":"x"},{"role":"user","content":{}}`), "messages[1].content", "invalid_type", "Invalid type for 'messages[1].content': expected one of a string or array of objects, but got an object instead."},
	{"content a number, role later", withMessages(`{"content":7,"role":"user"}`), "messages[0].content", "invalid_type", "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an integer instead."},
	{"content boolean", withMessages(`{"role":"developer","content":true}`), "messages[0].content", "invalid_type", "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got a boolean instead."},
	{"no parts", withMessages(`{"role":"user","content":[]}`), "messages[0].content", "empty_array", "Invalid 'messages[0].content': empty array. Expected an array with minimum length 1, but got an empty array instead."},
	{"name of wrong type", withMessages(`{"role":"user","content":"x","name":[]}`), "messages[0].name", "invalid_type", "Invalid type for 'messages[0].name': expected a string, but got an array instead."},
	{"escaped member name", withMessages(`{"role":"user","content":"x","na\u006de":1.5}`), "messages[0].name", "invalid_type", "Invalid type for 'messages[0].name': expected a string, but got a decimal number instead."},
	{"escaped role", withMessages(`{"r\u006fle":"us\u0065r"}`), "messages[0].content", "missing_required_parameter", "Missing required parameter: 'messages[0].content'."},
	{"assistant says nothing", withMessages(`{"role":"assistant"}`), "messages[0].content", "missing_required_parameter", "Missing required parameter: 'messages[0].content'."},
	{"assistant with null calls", withMessages(`{"role":"assistant","tool_calls":null}`), "messages[0].content", "missing_required_parameter", "Missing required parameter: 'messages[0].content'."},
	{"assistant content a number", withMessages(`{"role":"assistant","content":1}`), "messages[0].content", "invalid_type", "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an integer instead."},
	{"tool without id", withMessages(`{"role":"tool","content":"x"}`), "messages[0].tool_call_id", "missing_required_parameter", "Missing required parameter: 'messages[0].tool_call_id'."},
	{"function without name", withMessages(`{"role":"function","content":null}`), "messages[0].name", "missing_required_parameter", "Missing required parameter: 'messages[0].name'."},
	{"function without content", withMessages(`{"role":"function","name":"f"}`), "messages[0].content", "missing_required_parameter", "Missing required parameter: 'messages[0].content'."},

	// Parts.
	{"part a string", withMessages(`{"role":"user","content":["x"]}`), "messages[0].content[0]", "invalid_type", "Invalid type for 'messages[0].content[0]': expected an object, but got a string instead."},
	{"part without type", withMessages(`{"role":"user","content":[{"type":"text","text":"x"},{"text":"y"}]}`), "messages[0].content[1].type", "missing_required_parameter", "Missing required parameter: 'messages[0].content[1].type'."},
	{"unknown part", withMessages(`{"role":"user","content":[{"type":"video"}]}`), "messages[0].content[0].type", "invalid_value", "Invalid value: 'video'. Supported values are: 'text', 'image_url', 'input_audio', and 'file'."},
	{"image from the system", withMessages(`{"role":"system","content":[{"type":"image_url"}]}`), "messages[0].content[0].type", "invalid_value", "Invalid value: 'image_url'. Supported values are: 'text'."},
	{"image from the assistant", withMessages(`{"role":"assistant","content":[{"type":"image_url"}]}`), "messages[0].content[0].type", "invalid_value", "Invalid value: 'image_url'. Supported values are: 'text' and 'refusal'."},
	{"text part without text", withMessages(`{"role":"user","content":[{"type":"text"}]}`), "messages[0].content[0].text", "missing_required_parameter", "Missing required parameter: 'messages[0].content[0].text'."},
	{"image as a string", withMessages(`{"role":"user","content":[{"type":"image_url","image_url":"http://x"}]}`), "messages[0].content[0].image_url", "invalid_type", "Invalid type for 'messages[0].content[0].image_url': expected an object, but got a string instead."},
	{"image without URL", withMessages(`{"role":"user","content":[{"type":"image_url","image_url":{}}]}`), "messages[0].content[0].image_url.url", "missing_required_parameter", "Missing required parameter: 'messages[0].content[0].image_url.url'."},
	{"image detail", withMessages(`{"role":"user","content":[{"image_url":{"url":"u","detail":"x"},"type":"image_url"}]}`), "messages[0].content[0].image_url.detail", "invalid_value", "Invalid value: 'x'. Supported values are: 'auto', 'low', and 'high'."},
	{"audio without data", withMessages(`{"role":"user","content":[{"type":"input_audio","input_audio":{"format":"wav"}}]}`), "messages[0].content[0].input_audio.data", "missing_required_parameter", "Missing required parameter: 'messages[0].content[0].input_audio.data'."},
	{"audio format", withMessages(`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"ogg"}}]}`), "messages[0].content[0].input_audio.format", "invalid_value", "Invalid value: 'ogg'. Supported values are: 'wav' and 'mp3'."},
	{"file", withMessages(`{"role":"user","content":[{"type":"file","file":{"file_id":1}}]}`), "messages[0].content[0].file.file_id", "invalid_type", "Invalid type for 'messages[0].content[0].file.file_id': expected a string, but got an integer instead."},
	{"cache breakpoint", withMessages(`{"role":"user","content":[{"type":"text","text":"x","prompt_cache_breakpoint":{"mode":"x"}}]}`), "messages[0].content[0].prompt_cache_breakpoint.mode", "invalid_value", "Invalid value: 'x'. Supported values are: 'explicit'."},

	// Tool calls.
	{"no tool calls", withMessages(`{"role":"user","content":"x"},{"role":"assistant","tool_calls":[]}`), "messages[1].tool_calls", "empty_array", "Invalid 'messages[1].tool_calls': empty array. Expected an array with minimum length 1, but got an empty array instead."},
	{"tool calls an object", withMessages(`{"role":"assistant","tool_calls":{}}`), "messages[0].tool_calls", "invalid_type", "Invalid type for 'messages[0].tool_calls': expected an array of objects, but got an object instead."},
	{"call without id", withMessages(`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":""}}]}`), "messages[0].tool_calls[0].id", "missing_required_parameter", "Missing required parameter: 'messages[0].tool_calls[0].id'."},
	{"call without type", withMessages(`{"role":"assistant","tool_calls":[{"id":"x"}]}`), "messages[0].tool_calls[0].type", "missing_required_parameter", "Missing required parameter: 'messages[0].tool_calls[0].type'."},
	{"call of unknown type", withMessages(`{"role":"assistant","tool_calls":[{"id":"x","type":"y"}]}`), "messages[0].tool_calls[0].type", "invalid_value", "Invalid value: 'y'. Supported values are: 'function' and 'custom'."},
	{"arguments an object", withMessages(`{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":{}}}]}`), "messages[0].tool_calls[0].function.arguments", "invalid_type", "Invalid type for 'messages[0].tool_calls[0].function.arguments': expected a string, but got an object instead."},
	{"custom call without input", withMessages(`{"role":"assistant","tool_calls":[{"id":"x","type":"custom","custom":{"name":"f"}}]}`), "messages[0].tool_calls[0].custom.input", "missing_required_parameter", "Missing required parameter: 'messages[0].tool_calls[0].custom.input'."},
	{"old call without arguments", withMessages(`{"role":"assistant","function_call":{"name":"f"}}`), "messages[0].function_call.arguments", "missing_required_parameter", "Missing required parameter: 'messages[0].function_call.arguments'."},

	// Numbers.
	{"temperature high", withParams(`"temperature":3`), "temperature", "decimal_above_max_value", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead."},
	{"temperature low", withParams(`"temperature":-0.1`), "temperature", "decimal_below_min_value", "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -0.1 instead."},
	{"temperature infinite", withParams(`"temperature":1e999`), "temperature", "decimal_above_max_value", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 1e999 instead."},
	{"temperature a string", withParams(`"temperature":"hot"`), "temperature", "invalid_type", "Invalid type for 'temperature': expected a decimal, but got a string instead."},
	{"penalty", withParams(`"frequency_penalty":-2.5`), "frequency_penalty", "decimal_below_min_value", "Invalid 'frequency_penalty': decimal below minimum value. Expected a value >= -2, but got -2.5 instead."},
	{"presence penalty", withParams(`"presence_penalty":2.01`), "presence_penalty", "decimal_above_max_value", "Invalid 'presence_penalty': decimal above maximum value. Expected a value <= 2, but got 2.01 instead."},
	{"n zero", withParams(`"n":0`), "n", "integer_below_min_value", "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."},
	{"n high", withParams(`"n":129`), "n", "integer_above_max_value", "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead."},
	{"n decimal", withParams(`"n":1.5`), "n", "invalid_type", "Invalid type for 'n': expected an integer, but got a decimal number instead."},
	{"n a string", withParams(`"n":"2"`), "n", "invalid_type", "Invalid type for 'n': expected an integer, but got a string instead."},
	{"max_tokens negative", withParams(`"max_tokens":-1`), "max_tokens", "integer_below_min_value", "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got -1 instead."},
	{"max_completion_tokens negative", withParams(`"max_completion_tokens":-1`), "max_completion_tokens", "integer_below_min_value", "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 1, but got -1 instead."},
	{"max_tokens beyond 64 bits", withParams(`"max_tokens":1e30`), "max_tokens", "integer_above_max_value", "Invalid 'max_tokens': integer above maximum value. Expected a value <= 9223372036854775807, but got 1e30 instead."},
	{"seed beyond 64 bits", withParams(`"seed":-9223372036854777856`), "seed", "integer_below_min_value", "Invalid 'seed': integer below minimum value. Expected a value >= -9223372036854775808, but got -9223372036854777856 instead."},
	{"seed decimal", withParams(`"seed":0.5`), "seed", "invalid_type", "Invalid type for 'seed': expected an integer, but got a decimal number instead."},
	{"top_logprobs", withParams(`"top_logprobs":21`), "top_logprobs", "integer_above_max_value", "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got 21 instead."},
	{"logit_bias", withParams(`"logit_bias":{"5":0,"50256":-101}`), "logit_bias.50256", "integer_below_min_value", "Invalid 'logit_bias.50256': integer below minimum value. Expected a value >= -100, but got -101 instead."},
	{"logit_bias an array", withParams(`"logit_bias":[]`), "logit_bias", "invalid_type", "Invalid type for 'logit_bias': expected an object, but got an array instead."},

	// Booleans and strings.
	{"stream a string", withParams(`"stream":"true"`), "stream", "invalid_type", "Invalid type for 'stream': expected a boolean, but got a string instead."},
	{"stream a number", withParams(`"stream":1`), "stream", "invalid_type", "Invalid type for 'stream': expected a boolean, but got an integer instead."},
	{"include_usage", withParams(`"stream_options":{"include_usage":"yes"}`), "stream_options.include_usage", "invalid_type", "Invalid type for 'stream_options.include_usage': expected a boolean, but got a string instead."},
	{"stream_options", withParams(`"stream_options":true`), "stream_options", "invalid_type", "Invalid type for 'stream_options': expected an object, but got a boolean instead."},
	{"user", withParams(`"user":5`), "user", "invalid_type", "Invalid type for 'user': expected a string, but got an integer instead."},
	{"safety_identifier", withParams(`"safety_identifier":"` + strings.Repeat("ż", 65) + `"`), "safety_identifier", "string_above_max_length", "Invalid 'safety_identifier': string too long. Expected a string with maximum length 64, but got a string with length 65 instead."},
	{"service_tier", withParams(`"service_tier":"bogus"`), "service_tier", "invalid_value", "Invalid value: 'bogus'. Supported values are: 'auto', 'default', 'flex', 'scale', 'priority', and 'fast'."},
	{"cache retention", withParams(`"prompt_cache_retention":{}`), "prompt_cache_retention", "invalid_type", "Invalid type for 'prompt_cache_retention': expected one of 'in_memory' or '24h', but got an object instead."},
	{"reasoning_effort", withParams(`"reasoning_effort":""`), "reasoning_effort", "invalid_value", "Invalid value: ''. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'."},

	// Arrays.
	{"five stops", withParams(`"stop":["a","b","c","d","e"]`), "stop", "array_above_max_length", "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead."},
	{"no stops", withParams(`"stop":[]`), "stop", "empty_array", "Invalid 'stop': empty array. Expected an array with minimum length 1, but got an empty array instead."},
	{"stop a number", withParams(`"stop":1`), "stop", "invalid_type", "Invalid type for 'stop': expected one of a string or array of strings, but got an integer instead."},
	{"stop of numbers", withParams(`"stop":["a",1]`), "stop[1]", "invalid_type", "Invalid type for 'stop[1]': expected a string, but got an integer instead."},
	{"129 tools", withParams(`"tools":[` + strings.Repeat(`{"type":"function","function":{"name":"f"}},`, 128) + `{"type":"function","function":{"name":"f"}}]`), "tools", "array_above_max_length", "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length 129 instead."},
	{"modalities", withParams(`"modalities":["text","video"]`), "modalities[1]", "invalid_value", "Invalid value: 'video'. Supported values are: 'text' and 'audio'."},

	// Metadata.
	{"metadata value", withParams(`"metadata":{"tags":[]}`), "metadata.tags", "invalid_type", "Invalid type for 'metadata.tags': expected a string, but got an array instead."},
	{"metadata null value", withParams(`"metadata":{"k":null}`), "metadata.k", "invalid_type", "Invalid type for 'metadata.k': expected a string, but got null instead."},
	{"metadata long value", withParams(`"metadata":{"k":"` + strings.Repeat("x", 513) + `"}`), "metadata.k", "string_above_max_length", "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513 instead."},
	{"metadata long key", withParams(`"metadata":{"` + strings.Repeat("k", 70) + `":"v"}`), "metadata." + strings.Repeat("k", 70), "property_name_above_max_length", "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with maximum length 64, but got a string with length 70 instead."},
	{"metadata of 17", withParams(`"metadata":{` + seventeen() + `}`), "metadata", "object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with 17 properties instead."},

	// Tools and formats.
	{"tools an object", withParams(`"tools":{}`), "tools", "invalid_type", "Invalid type for 'tools': expected an array of objects, but got an object instead."},
	{"tool without type", withParams(`"tools":[{"function":{"name":"f"}}]`), "tools[0].type", "missing_required_parameter", "Missing required parameter: 'tools[0].type'."},
	{"tool without function", withParams(`"tools":[{"type":"function"}]`), "tools[0].function", "missing_required_parameter", "Missing required parameter: 'tools[0].function'."},
	{"function without name, tools", withParams(`"tools":[{"type":"function","function":{"parameters":{}}}]`), "tools[0].function.name", "missing_required_parameter", "Missing required parameter: 'tools[0].function.name'."},
	{"parameters a boolean", withParams(`"tools":[{"type":"function","function":{"name":"f","parameters":true}}]`), "tools[0].function.parameters", "invalid_type", "Invalid type for 'tools[0].function.parameters': expected an object, but got a boolean instead."},
	{"grammar", withParams(`"tools":[{"type":"custom","custom":{"name":"f","format":{"type":"grammar","grammar":{"definition":"","syntax":"ebnf"}}}}]`), "tools[0].custom.format.grammar.syntax", "invalid_value", "Invalid value: 'ebnf'. Supported values are: 'lark' and 'regex'."},
	{"tool_choice", withParams(`"tool_choice":"any"`), "tool_choice", "invalid_value", "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'."},
	{"tool_choice a number", withParams(`"tool_choice":7`), "tool_choice", "invalid_type", "Invalid type for 'tool_choice': expected one of one of 'none', 'auto', or 'required' or object, but got an integer instead."},
	{"tool_choice without name", withParams(`"tool_choice":{"type":"function","function":{}}`), "tool_choice.function.name", "missing_required_parameter", "Missing required parameter: 'tool_choice.function.name'."},
	{"allowed_tools", withParams(`"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[1]}}`), "tool_choice.allowed_tools.tools[0]", "invalid_type", "Invalid type for 'tool_choice.allowed_tools.tools[0]': expected an object, but got an integer instead."},
	{"functions empty", withParams(`"functions":[]`), "functions", "empty_array", "Invalid 'functions': empty array. Expected an array with minimum length 1, but got an empty array instead."},
	{"function without name, functions", withParams(`"functions":[{"parameters":{}}]`), "functions[0].name", "missing_required_parameter", "Missing required parameter: 'functions[0].name'."},
	{"function_call", withParams(`"function_call":{}`), "function_call.name", "missing_required_parameter", "Missing required parameter: 'function_call.name'."},
	{"response_format a string", withParams(`"response_format":"json"`), "response_format", "invalid_type", "Invalid type for 'response_format': expected an object, but got a string instead."},
	{"response_format without type", withParams(`"response_format":{}`), "response_format.type", "missing_required_parameter", "Missing required parameter: 'response_format.type'."},
	{"response_format type", withParams(`"response_format":{"type":"bogus"}`), "response_format.type", "invalid_value", "Invalid value: 'bogus'. Supported values are: 'json_object', 'json_schema', and 'text'."},
	{"json_schema missing", withParams(`"response_format":{"type":"json_schema"}`), "response_format.json_schema", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema'."},
	{"json_schema without name", withParams(`"response_format":{"type":"json_schema","json_schema":{}}`), "response_format.json_schema.name", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema.name'."},
	{"json_schema name", withParams(`"response_format":{"type":"json_schema","json_schema":{"name":"a b"}}`), "response_format.json_schema.name", "invalid_value", "Invalid 'response_format.json_schema.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."},
	{"json_schema long name", withParams(`"response_format":{"type":"json_schema","json_schema":{"name":"` + strings.Repeat("n", 65) + `"}}`), "response_format.json_schema.name", "string_above_max_length", "Invalid 'response_format.json_schema.name': string too long. Expected a string with maximum length 64, but got a string with length 65 instead."},
	{"prediction", withParams(`"prediction":{"type":"content","content":[]}`), "prediction.content", "empty_array", "Invalid 'prediction.content': empty array. Expected an array with minimum length 1, but got an empty array instead."},
	{"audio", withParams(`"audio":{"format":"mp3"}`), "audio.voice", "missing_required_parameter", "Missing required parameter: 'audio.voice'."},
	{"moderation", withParams(`"moderation":{}`), "moderation.model", "missing_required_parameter", "Missing required parameter: 'moderation.model'."},
	{"user_location", withParams(`"web_search_options":{"user_location":{"type":"exact","approximate":{}}}`), "web_search_options.user_location.type", "invalid_value", "Invalid value: 'exact'. Supported values are: 'approximate'."},
}

var (
	badJSONText = ErrBadJSON().Message
	wideText    = "The objects in the JSON body of your request have too many keys."
	deepText    = "The JSON body of your request is nested too deeply: the limit is 512 levels."
)

func duplicateText(path string) string {
	return "Duplicate key in the JSON body of your request: '" + path + "'. Each key of an object must occur only once."
}

// wideObject is an object of n members.
func wideObject(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return "{" + b.String()[1:] + "}"
}

func seventeen() string {
	var pairs []string
	for c := range 17 {
		pairs = append(pairs, `"`+string(rune('a'+c))+`":"v"`)
	}
	return strings.Join(pairs, ",")
}

func TestParseRequestFaults(t *testing.T) {
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			r, err := ParseRequest([]byte(c.body))
			e, ok := err.(*Error)
			if !ok {
				t.Fatalf("accepted as %+v, error %v", r, err)
			}
			got := faultCase{c.name, c.body, e.Param, e.Code, e.Message}
			if got != c || e.Status != 400 || e.Type != "invalid_request_error" {
				t.Errorf("status %d, type %q\n got %q %q %s\nwant %q %q %s", e.Status, e.Type,
					e.Param, e.Code, e.Message, c.param, c.code, c.message)
			}
		})
	}
}
