/* functionary: <function=NAME>{…}</function>, several one after another. Functionary v3.1 (MeetKai) over Llama
 * 3.1. */
#include "call/form.h"

const struct call_form form_functionary = {
	.name = "functionary",
	.summary = "<function=name> around JSON: Functionary v3.1",
	.has = (const char *const[]){ "<function=", "</function>", "<|start_header_id|>", NULL },
	.lacks = (const char *const[]){ "<parameter=", "<tool_call>", NULL },
	.styles = (const struct call_style[]){ { "", "<function=%n>%a</function>", " ", "" }, { 0 } },
};
