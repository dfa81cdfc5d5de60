/* template_filters: where a filter is looked for, and what the files of filters share. */
#include "template/template_filters.h"

#include <string.h>

#include "base/mem.h"

int64_t filter_whole(struct value v) { return v.type == V_INT ? v.i : v.b; }

struct value filter_method(const struct call *c, const char *name)
{
	struct call m = *c;
	m.self = run_text(c->r, c->self);
	return template_method(m.self, name)->call(&m);
}

const struct function *run_look_up(const struct function *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

const struct function *template_filter(const char *name)
{
	static const struct function *const tables[] = { filters_of_values, filters_of_text, filters_of_lists,
		                                         filters_of_html, filters_of_layout };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct function *f = tables[i]; f->name; f++)
			if (!strcmp(f->name, name))
				return f;
	return NULL;
}
