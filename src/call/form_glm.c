/* glm: <tool_call>NAME, then <arg_key>KEY</arg_key> and <arg_value>…</arg_value> for each argument. GLM 4.5 to 4.7
 * (Z.ai). */
#include "call/form.h"

const struct call_form form_glm = {
	.name = "glm",
	.summary = "<arg_key> and <arg_value> in <tool_call>: GLM 4.5 and later",
	.has = (const char *const[]){ "<tool_call>", "<arg_key>", "<arg_value>", NULL },
	.pairs = &(const struct call_pairs){ " <arg_key>", "</arg_key> <arg_value>", "</arg_value>", "", false },
	.styles =
		(const struct call_style[]){
			{ .open = "", .call = "<tool_call>%n%a </tool_call>", .between = " ", .close = "" }, { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
