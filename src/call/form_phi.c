/* phi: <|tool_call|> [list] <|/tool_call|>. Phi-4-mini, whose template has tools between <|tool|> and <|/tool|>. */
#include "call/form.h"

const struct call_form form_phi = {
	.name = "phi",
	.summary = "<|tool_call|> list <|/tool_call|>: Phi-4-mini",
	.has = (const char *const[]){ "<|tool|>", "<|/tool|>", NULL },
	.styles = (const struct call_style[]){ { "<|tool_call|> [", " { \"name\" : \"%n\" , \"arguments\" : %a }", " ,",
	                                         " ] <|/tool_call|>" },
	                                       { 0 } },
};
