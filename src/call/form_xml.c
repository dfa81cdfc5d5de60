/* xml: <tool_call><function=NAME><parameter=KEY>…</parameter></function></tool_call>, a value between line ends.
 * Qwen3-Coder, Qwen 3.5, Nemotron 3 (NVIDIA). */
#include "call/form.h"

const struct call_form form_xml = {
	.name = "xml",
	.summary = "<function=…> and <parameter=…> in <tool_call>: Qwen3-Coder",
	.has = (const char *const[]){ "<tool_call>", "<function=", "<parameter=", NULL },
	.lacks = (const char *const[]){ "<seed:tool_call>", NULL },
	.pairs = &(const struct call_pairs){ " <parameter=", ">\n", "\n</parameter>", "", false },
	.styles = (const struct call_style[]){ { .open = "",
	                                         .call = "<tool_call> <function=%n>%a </function> </tool_call>",
	                                         .between = " ",
	                                         .close = "" },
	                                       { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
