/* deepseek: calls in marks of their own, arguments as a block of JSON. DeepSeek V3 and R1, and what was distilled of
 * them where the template has tools. */
#include "call/form.h"

#define OPEN "<｜tool▁calls▁begin｜>"
#define CLOSE " <｜tool▁calls▁end｜>"
#define CALL \
	" <｜tool▁call▁begin｜>function<｜tool▁sep｜>%n\n```json\n%a\n```" \
	"<｜tool▁call▁end｜>"

const struct call_form form_deepseek = {
	.name = "deepseek",
	.summary = "<｜tool▁calls▁begin｜>: DeepSeek V3 and R1",
	.has = (const char *const[]){ "<｜tool▁calls▁begin｜>", "```json", NULL },
	.styles = (const struct call_style[]){ { OPEN, CALL, "", CLOSE }, { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
