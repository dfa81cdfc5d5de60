/* template_filters: Jinja's filters, as far as chat templates use them: a table a file, each ends with a row without a
 * name. What Jinja has and we have not is a row without a call (template_run.h). */
#ifndef TOKEN_TEMPLATE_FILTERS_H
#define TOKEN_TEMPLATE_FILTERS_H

#include "template/template_run.h"

extern const struct function filters_of_values[], filters_of_text[], filters_of_lists[];

int64_t filter_whole(struct value v);          /* of a whole number or a bool */
/* int(f). */
struct value filter_integer(const struct call *c, double f);
/* The same as a method of the value's text. */
struct value filter_method(const struct call *c, const char *name);
/* items[n] in the order of their keys. */
void filter_sort(const struct call *c, struct value *items, const struct value *keys, size_t n, bool down);

#endif
