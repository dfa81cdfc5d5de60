/* hermes: <tool_call>{"name": …, "arguments": …}</tool_call>, several one after another. Hermes 2 and 3 (Nous
 * Research), Qwen 2.5 and 3, SmolLM3's xml_tools, Granite 4. */
#include "call/form.h"

const struct call_form form_hermes = {
	.name = "hermes",
	.summary = "<tool_call> around JSON: Hermes, Qwen, SmolLM3, Granite 4",
	.has = (const char *const[]){ "<tool_call>", "arguments", NULL },
	.lacks = (const char *const[]){ "<function=", "<arg_key>", "<tool_sep>", "<invoke name=", "<tool_calls>[",
	                              NULL },
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
