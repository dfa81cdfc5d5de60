/* apriel: <tool_calls> and a JSON list. Apriel 1.5 and 1.6 (ServiceNow). */
#include "call/form.h"

const struct call_form form_apriel = {
	.name = "apriel",
	.summary = "<tool_calls> around a list: Apriel",
	.has = (const char *const[]){ "<tool_calls>[", "arguments", NULL },
	.styles = (const struct call_style[]){ { "<tool_calls> [", " { \"name\" : \"%n\" , \"arguments\" : %a }", " ,",
	                                         " ] </tool_calls>" },
	                                       { 0 } },
};
