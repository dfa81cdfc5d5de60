/* template_filters: Jinja's filters: a table a file, each ends with a row without a name. */
#ifndef TOKEN_TEMPLATE_FILTERS_H
#define TOKEN_TEMPLATE_FILTERS_H

#include "template/template_run.h"

extern const struct function filters_of_values[], filters_of_text[], filters_of_lists[], filters_of_html[],
	filters_of_layout[];

int64_t filter_whole(struct value v);          /* of a whole number or a bool */
/* int(f). */
struct value filter_integer(const struct call *c, double f);
/* The same as a method of the value's text. */
struct value filter_method(const struct call *c, const char *name);
/* items[n] in the order of their keys; what cannot be ordered is a mistake, or, loosely, goes by its type's name. */
enum sort_order { SORT_UP, SORT_DOWN, SORT_LOOSE };
void filter_sort(const struct call *c, struct value *items, const struct value *keys, size_t n, enum sort_order how);
/* The same value with the keys of every dict in order; loosely as Python's pprint: only in lists, tuples and dicts. */
struct value filter_sorted(const struct call *c, struct value v, bool loose);

#endif
