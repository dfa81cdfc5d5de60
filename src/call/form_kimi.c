/* kimi: functions.NAME:NUMBER and JSON in marks, several in one section. Kimi K2 (Moonshot AI). */
#include "call/form.h"

#define OPEN "<|tool_calls_section_begin|>"
#define CALL " <|tool_call_begin|>functions.%n:%i<|tool_call_argument_begin|>%a<|tool_call_end|>"

const struct call_form form_kimi = {
	.name = "kimi",
	.summary = "functions.name:0 in <|tool_calls_section_begin|>: Kimi K2",
	.has = (const char *const[]){ OPEN, "<|tool_call_argument_begin|>", NULL },
	.styles = (const struct call_style[]){ { OPEN, CALL, "", " <|tool_calls_section_end|>" }, { 0 } },
	.thought = "<think>",
	.thought_end = "</think>",
	.kept = true,
};
