/* minimax: <invoke name="NAME"><parameter name="KEY">…</parameter></invoke>, several in one section. MiniMax M2. */
#include "call/form.h"

const struct call_form form_minimax = {
	.name = "minimax",
	.summary = "<invoke name=…> in <minimax:tool_call>: MiniMax M2",
	.has = (const char *const[]){ "<minimax:tool_call>", "<invoke name=", NULL },
	.pairs = &(const struct call_pairs){ " <parameter name=\"", "\">", "</parameter>", "", false },
	.styles = (const struct call_style[]){ { "<minimax:tool_call>", " <invoke name=\"%n\">%a </invoke>", "",
	                                         " </minimax:tool_call>" },
	                                       { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
