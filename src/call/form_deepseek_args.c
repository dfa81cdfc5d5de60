/* deepseek_args: deepseek's marks around NAME and JSON, without a block. DeepSeek V3.1. */
#include "call/form.h"

#define OPEN "<｜tool▁calls▁begin｜>"
#define CLOSE " <｜tool▁calls▁end｜>"
#define CALL " <｜tool▁call▁begin｜>%n<｜tool▁sep｜>%a<｜tool▁call▁end｜>"

const struct call_form form_deepseek_args = {
	.name = "deepseek_args",
	.summary = "<｜tool▁sep｜> before JSON: DeepSeek V3.1",
	.has = (const char *const[]){ "<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", NULL },
	.lacks = (const char *const[]){ "```json", NULL },
	.styles = (const struct call_style[]){ { OPEN, CALL, "", CLOSE }, { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
