/* command: <|START_ACTION|>[{"tool_call_id": "0", "tool_name": …, "parameters": …}]<|END_ACTION|>. Cohere's Command
 * R7B and its kin, which think before and mark what they say to people. */
#include "call/form.h"

const struct call_form form_command = {
	.name = "command",
	.summary = "<|START_ACTION|> around a list: Command R7B",
	.has = (const char *const[]){ "<|START_ACTION|>", "tool_name", NULL },
	.styles =
		(const struct call_style[]){
			{ "<|START_ACTION|> [",
	                  " { \"tool_call_id\" : \"%i\" , \"tool_name\" : \"%n\" , \"parameters\" : %a }", " ,",
	                  " ] <|END_ACTION|>" },
			{ 0 } },
	.silent = (const char *const[]){ "<|START_RESPONSE|>", "<|END_RESPONSE|>", NULL },
	.thought = "<|START_THINKING|>",
	.thought_end = "<|END_THINKING|>",
};
