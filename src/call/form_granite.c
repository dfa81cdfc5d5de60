/* granite: <|tool_call|> and a JSON list. IBM's Granite 3.x; Granite 4 has the form of hermes. */
#include "call/form.h"

const struct call_form form_granite = {
	.name = "granite",
	.summary = "<|tool_call|> and a list: Granite 3",
	.has = (const char *const[]){ "<|start_of_role|>", "<|tool_call|>", NULL },
	.lacks = (const char *const[]){ "<tool_call>", NULL },
	.styles =
		(const struct call_style[]){
			{ "<|tool_call|> [", " { \"name\" : \"%n\" , \"arguments\" : %a }", " ,", " ]" }, { 0 } },
};
