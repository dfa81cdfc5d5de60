/* fuzz: any text is a template or is refused; one that is a template runs on a conversation with tools to its end or to
 * a sentence, within its bounds; its spans lie in its text, in order. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "template/template.h"
#include "template/template_run.h"

static const char conversation[] =
	"{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\\n\"}, {\"role\": \"user\", \"content\": "
        "\"Wie gr\\u00fc\\u00dft man? <b>&'\\\"\"},"
	" {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"a1\", \"type\": \"function\", "
        "\"function\": {\"name\": \"greet\", \"arguments\": {\"n\": 2, \"x\": 0.5}}}]},"
	" {\"role\": \"tool\", \"name\": \"greet\", \"content\": \"[1, 2]\"}, {\"role\": \"assistant\", \"content\": "
        "\" <think>so</think> Hallo.\"}],"
	" \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"greet\", \"description\": \"d\", "
        "\"parameters\": {\"type\": \"object\", \"properties\": {\"n\": {\"type\": \"integer\"}}}}}],"
	" \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_generation_prompt\": true, \"n\": 3, \"f\": 2.5, "
        "\"none\": null, \"list\": [3, 1, 2], \"text\": \"one two\"}";

static void check_spans(const struct template_output *out)
{
	size_t before = 0;

	for (size_t i = 0; i < out->n_spans; i++) {
		if (out->spans[i].begin > out->spans[i].end || out->spans[i].end > out->text.len ||
		    out->spans[i].end < before)
			BUG("span %zu is %zu..%zu of %zu bytes", i, out->spans[i].begin, out->spans[i].end,
			    out->text.len);
		before = out->spans[i].end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static json_t *variables;
	struct err e = ERR_INIT;
	struct template_output out;
	char *source = mem_alloc(n + 1);

	if (!variables && !(variables = jsonx_load(conversation, strlen(conversation), "the conversation", &e)))
		BUG("%s", e.msg);
	template_steps_max = 20000; /* what runs to its limit would take the time of a hundred others */
	memcpy(source, data, n);
	struct template *t = template_parse(source, &e);
	if (!t && !e.msg[0])
		BUG("refused without a sentence");
	if (t && template_run(t, variables, &out, &e) == 0) {
		check_spans(&out);
		template_output_release(&out);
	} else if (strncmp(e.msg, "line ", 5) != 0) {
		BUG("no line in '%s'", e.msg);
	}
	template_free(t);
	mem_free(source);
	return 0;
}
