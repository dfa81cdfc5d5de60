/* harmony: channels with recipients. gpt-oss thinks in the channel analysis, calls functions.NAME in commentary, and
 * says in final what people read (OpenAI's harmony format). <|call|> ends the answer, as the model's files say. */
#include "call/form.h"

#define ARGUMENTS "<|constrain|>json<|message|>%a"

const struct call_form form_harmony = {
	.name = "harmony",
	.summary = "channels and recipients: gpt-oss",
	.has = (const char *const[]){ "<|channel|>", "commentary", NULL },
	.styles = (const struct call_style[]){ { "", "<|channel|>commentary%_to=functions.%n%_" ARGUMENTS, "", "" },
	                                       { 0 } },
	.single = true,
	.silent = (const char *const[]){ "<|channel|>final<|message|>", "<|channel|>commentary<|message|>", "<|end|>",
	                                 "<|start|>assistant", NULL },
	.thought = "<|channel|>analysis<|message|>",
	.thought_end = "<|end|>",
};
