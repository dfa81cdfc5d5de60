/* seed: as xml, in marks of its own and without line ends around values. Seed-OSS (ByteDance). */
#include "call/form.h"

const struct call_form form_seed = {
	.name = "seed",
	.summary = "<function=…> in <seed:tool_call>: Seed-OSS",
	.has = (const char *const[]){ "<seed:tool_call>", "<function=", "<parameter=", NULL },
	.pairs = &(const struct call_pairs){ " <parameter=", ">", "</parameter>", "", false },
	.styles =
		(const struct call_style[]){ { .open = "",
	                                       .call = "<seed:tool_call> <function=%n>%a </function> </seed:tool_call>",
	                                       .between = " ",
	                                       .close = "" },
	                                     { 0 } },
	.thought = "<seed:think>",
	.thought_end = "</seed:think>",
	.kept = true,
};
