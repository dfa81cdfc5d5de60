/* recipient: >>>NAME and a line end before the arguments, >>>all before what is said to people. Functionary v3.2, whose
 * prompt ends with the first >>>. */
#include "call/form.h"

const struct call_form form_recipient = {
	.name = "recipient",
	.summary = ">>>name before JSON: Functionary v3.2",
	.has = (const char *const[]){ ">>>all", "<|start_header_id|>", NULL },
	.styles = (const struct call_style[]){ { "", ">>>%n\n%a", " ", "" }, { 0 } },
	.silent = (const char *const[]){ ">>>all\n", NULL },
	.lead = ">>>",
};
