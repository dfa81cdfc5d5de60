/* lfm: the same list between <|tool_call_start|> and <|tool_call_end|>. LFM2 and LFM2.5 (Liquid AI). */
#include "call/form.h"

const struct call_form form_lfm = {
	.name = "lfm",
	.summary = "[f(a=1)] in <|tool_call_start|>: LFM2",
	.has = (const char *const[]){ "<|im_start|>", "List of tools: ", NULL },
	.pairs = &(const struct call_pairs){ " ", "=", "", " ,", true },
	.styles = (const struct call_style[]){ { "<|tool_call_start|>[", " %n(%a )", " ,", " ]<|tool_call_end|>" },
	                                       { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
