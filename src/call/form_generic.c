/* generic: kungfu's own, where a template knows no tools: they are described in the system's message, and calls are
 * written as hermes has them, which is what most models without a form of their own have seen. */
#include "call/form.h"

const struct call_form form_generic = {
	.name = "generic",
	.summary = "<tool_call> around JSON, described in the system's message",
	.styles =
		(const struct call_style[]){
			{ .open = "",
	                  .call = "<tool_call> { \"name\" : \"%n\" , \"arguments\" : %a } </tool_call>",
	                  .between = " ",
	                  .close = "" },
			{ 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
