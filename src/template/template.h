/* template: runs a model's own chat template (Jinja), the subset that real templates use.
 *
 * Environment as transformers': trim_blocks, lstrip_blocks, loop controls, `tojson` without HTML escapes,
 * `raise_exception`, `strftime_now`, `{% generation %}` (whose spans are reported). An unknown construct is an error
 * with the template's line; nothing is recognized by name and nothing replaced silently. Steps, output and depth are
 * bounded. */
#ifndef TOKEN_TEMPLATE_H
#define TOKEN_TEMPLATE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

struct template;

struct template *template_parse(const char *source, struct err *e);   /* NULL and a sentence with the line */
/* The same in Jinja's own environment as lm-eval makes it for tasks: white space around tags stays, so does a line
 * break at the end, printing what is undefined is a mistake, and there is a filter regex_replace. */
struct template *template_parse_plain(const char *source, struct err *e);
/* Two, of which the second (or NULL) writes conversations with tools, as transformers takes "tool_use". Without the
 * first (NULL) there is no text where there are no tools. */
struct template *template_parse_both(const char *source, const char *with_tools, struct err *e);
void template_free(struct template *t);

struct template_span { size_t begin, end; };                          /* bytes of the output inside {% generation %} */
struct template_output {
	struct buf text;
	struct template_span *spans;
	size_t n_spans;
};
/* variables: an object (messages, tools, bos_token, eos_token, add_generation_prompt …), not changed. */
int template_run(const struct template *t, const json_t *variables, struct template_output *out, struct err *e);
void template_output_release(struct template_output *o);

#endif
