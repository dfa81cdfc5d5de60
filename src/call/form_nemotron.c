/* nemotron: <TOOLCALL> and a JSON list. Nemotron Nano v2 (NVIDIA); Nemotron 3 has the form of xml. */
#include "call/form.h"

const struct call_form form_nemotron = {
	.name = "nemotron",
	.summary = "<TOOLCALL> around a list: Nemotron Nano v2",
	.has = (const char *const[]){ "<TOOLCALL>[", NULL },
	.styles = (const struct call_style[]){ { "<TOOLCALL> [", " { \"name\" : \"%n\" , \"arguments\" : %a }", " ,",
	                                         " ] </TOOLCALL>" },
	                                       { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
