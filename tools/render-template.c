/* render-template: for tools/check-templates. Each line of stdin is {"template": …, "variables": {…}}; each line of stdout is what that gives:
 * {"text": …, "spans": [[begin, end] …]} or {"error": …}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "template/template.h"

static json_t *render(const json_t *job)
{
	struct err e = ERR_INIT;
	struct template_output out;
	struct template *t = template_parse(json_string_value(json_object_get(job, "template")), &e);
	json_t *result, *spans = json_array();

	if (t && template_run(t, json_object_get(job, "variables"), &out, &e) == 0) {
		for (size_t i = 0; i < out.n_spans; i++)
			json_array_append_new(spans, json_pack("[i, i]", (int)out.spans[i].begin, (int)out.spans[i].end));
		result = json_pack("{s:o, s:O}", "text", jsonx_text(buf_str(&out.text), out.text.len), "spans", spans);
		template_output_release(&out);
	} else {
		result = json_pack("{s:o}", "error", jsonx_text(e.msg, strlen(e.msg)));
	}
	json_decref(spans);
	template_free(t);
	return result;
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		struct err e = ERR_INIT;
		json_t *job = jsonx_load(line, (size_t)n, "stdin", &e), *result = job ? render(job) : json_pack("{s:s}", "error", e.msg);
		char *text = jsonx_line(result);
		puts(text);
		mem_free(text);
		json_decref(result);
		json_decref(job);
	}
	free(line);
	return 0;
}
