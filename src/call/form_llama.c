/* llama: an answer that is {"name": …, "parameters": …} and nothing else, maybe behind <|python_tag|>.
 * Llama 3.1 and later, Llama 4, whose template refuses more than one call. Calls of tools that come with the model
 * (brave_search.call) are asked for by no list of tools and are not read. */
#include "call/form.h"

#define CALL "{ \"name\" : \"%n\" , \"parameters\" : %a }"

const struct call_form form_llama = {
	.name = "llama",
	.summary = "JSON with name and parameters alone: Llama 3.1 and later",
	.has = (const char *const[]){ "\"parameters\": ", "ipython", NULL },
	.lacks = (const char *const[]){ "<function=", "<tool_call>", "functools[", NULL },
	.styles = (const struct call_style[]){ { "", CALL, "; ", "", .alone = true },
	                                       { "<|python_tag|>", CALL, "; ", "", false },
	                                       { 0 } },
	.single = true,
};
