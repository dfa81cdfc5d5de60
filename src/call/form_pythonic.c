/* pythonic: an answer that is a list of calls as Python writes them, [f(a=1, b="x"), g()], and nothing else. Templates
 * of Llama 3.2, Llama 4 and Gemma 3 that ask for it. Texts are written in double quotes, with JSON's escapes. */
#include "call/form.h"

const struct call_form form_pythonic = {
	.name = "pythonic",
	.summary = "[f(a=1)] alone: Llama 3.2 and 4, Gemma 3 by their pythonic templates",
	.has = (const char *const[]){ "[func_name1(", NULL },
	.pairs = &(const struct call_pairs){ " ", "=", "", " ,", true },
	.styles = (const struct call_style[]){ { "[", " %n(%a )", " ,", " ]", .alone = true }, { 0 } },
};
