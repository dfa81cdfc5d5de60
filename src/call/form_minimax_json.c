/* minimax_json: <tool_calls> and a line of JSON for each call. MiniMax M1. */
#include "call/form.h"

const struct call_form form_minimax_json = {
	.name = "minimax_json",
	.summary = "<tool_calls> around lines of JSON: MiniMax M1",
	.has = (const char *const[]){ "<tool_calls>", "</tool_calls><end_of_sentence>", "arguments", NULL },
	.styles = (const struct call_style[]){ { "<tool_calls>", " { \"name\" : \"%n\" , \"arguments\" : %a }", "",
	                                         " </tool_calls>" },
	                                       { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
