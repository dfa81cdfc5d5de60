/* mistral: [TOOL_CALLS] and a JSON list of {"name", "arguments"}. Mistral 7B v0.3, Nemo, Small and their kin up to
 * tokenizer v7. Ids are ours: nine letters and digits, which its templates want. */
#include "call/form.h"

const struct call_form form_mistral = {
	.name = "mistral",
	.summary = "[TOOL_CALLS] and a list: Mistral up to tokenizer v7",
	.has = (const char *const[]){ "[TOOL_CALLS]", NULL },
	.lacks = (const char *const[]){ "[ARGS]", NULL },
	.styles =
		(const struct call_style[]){
			{ "[TOOL_CALLS] [", " { \"name\" : \"%n\" , \"arguments\" : %a }", " ,", " ]" }, { 0 } },
};
