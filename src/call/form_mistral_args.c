/* mistral_args: [TOOL_CALLS]NAME[ARGS]{…} for each call. Mistral from tokenizer v11 on (Small 3.2, Devstral,
 * Magistral), which may think in [THINK] before. */
#include "call/form.h"

const struct call_form form_mistral_args = {
	.name = "mistral_args",
	.summary = "[TOOL_CALLS]name[ARGS]: Mistral from tokenizer v11 on",
	.has = (const char *const[]){ "[TOOL_CALLS]", "[ARGS]", NULL },
	.styles = (const struct call_style[]){ { "", "[TOOL_CALLS]%n[ARGS]%a", " ", "" }, { 0 } },
	.thought = "[THINK]",
	.thought_end = "[/THINK]",
	.kept = true,
};
