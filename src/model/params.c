/* params: a table of names and shapes, then one buffer. Offsets are fixed when a parameter is added, so the order of
 * adding is the order in the buffer, in the optimizer's state and in a checkpoint. The padding between parameters is
 * zero and stays so. */
#include "model/params.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { PARAM_ALIGN = 16 }; /* numbers: 64 bytes */

int params_add(struct params *p, const char *name, int n_dims, const size_t *dim, int weight)
{
	if (p->w)
		BUG("parameter %s after the seal", name);
	if (n_dims < 1 || n_dims > 4 || params_find(p, name) >= 0)
		BUG("parameter %s with %d dimensions, or twice", name, n_dims);
	if (p->n_items == p->cap_items) {
		size_t cap = MAX(2 * p->cap_items, (size_t)64);
		struct param *items = arena_array(&p->mem, cap, sizeof(*items));
		if (p->n_items)
			memcpy(items, p->items, p->n_items * sizeof(*items));
		p->items = items;
		p->cap_items = cap;
	}
	struct param *x = &p->items[p->n_items];
	*x = (struct param){
		.n_dims = n_dims, .n = 1, .offset = p->n, .weight = weight, .site = (uint32_t)p->n_items
	};
	x->role = n_dims > 1 ? PARAM_MATRIX : PARAM_VECTOR;
	x->name = arena_strdup(&p->mem, name);
	for (int i = 0; i < n_dims; i++) {
		x->dim[i] = dim[i];
		if (!size_mul(x->n, dim[i], &x->n))
			BUG("parameter %s: its shape's product wraps", name);
	}
	p->n = ROUND_UP(p->n + x->n, PARAM_ALIGN);
	return (int)p->n_items++;
}

int params_add_group(struct params *p, const struct param_group *group)
{
	struct param_group *more = arena_array(&p->mem, (size_t)p->n_groups + 1, sizeof(*more));
	if (p->n_groups)
		memcpy(more, p->groups, (size_t)p->n_groups * sizeof(*more));
	more[p->n_groups] = *group;
	p->groups = more;
	return ++p->n_groups;
}

struct param_group params_group(const struct params *p, int group)
{
	if (group < 0 || group > p->n_groups)
		BUG("parameters of group %d of %d", group, p->n_groups);
	return group ? p->groups[group - 1] : (struct param_group){ .rate = 1, .clip = NAN };
}

int params_seal(struct params *p, struct err *e)
{
	size_t bytes;
	if (p->w)
		BUG("parameters sealed twice");
	if (!size_mul(p->n, sizeof(float), &bytes))
		return err_set(e, "%zu trainable numbers are more than an address can count", p->n);
	void *w;
	if (mem_map(&w, bytes, "the trainable numbers", e) < 0)
		return -1;
	p->w = w;
	return 0;
}

/* The part's group 0 becomes a group of `all` with that clip, its own ones follow in their order. */
static int add_groups(struct params *all, const struct params *p, double clip)
{
	int first = params_add_group(all, &(struct param_group){ .rate = 1, .clip = clip });

	if (p->n_groups && !isnan(clip))
		BUG("parameters in groups of their own, to be clipped together as a part of others");
	for (int i = 0; i < p->n_groups; i++)
		params_add_group(all, &p->groups[i]);
	return first;
}

static void add_part(struct params *all, const struct params *p, size_t k, double clip)
{
	int group = add_groups(all, p, clip);

	for (size_t i = 0; i < p->n_items; i++) {
		const struct param *x = &p->items[i];
		char *name = mem_printf("%zu.%s", k, x->name);
		int added = params_add(all, name, x->n_dims, x->dim, x->weight);
		struct param *to = &all->items[added];
		mem_free(name);
		to->role = x->role;
		to->group = group + x->group;
		to->site = x->site;
	}
}

int params_join(struct params *all, struct params *const *parts, size_t n, double clip, size_t *at, struct err *e)
{
	for (size_t k = 0; k < n; k++) {
		if (!parts[k]->w || parts[k]->joined)
			BUG("parameters to be joined that are not sealed, or joined already");
		at[k] = all->n;
		add_part(all, parts[k], k, clip);
		if (all->n != at[k] + parts[k]->n)
			BUG("parameters are laid out in another way once joined");
	}
	if (params_seal(all, e) < 0)
		return -1;
	for (size_t k = 0; k < n; k++) {
		memcpy(all->w + at[k], parts[k]->w, parts[k]->n * sizeof(float));
		mem_unmap(parts[k]->w, parts[k]->n * sizeof(float));
		parts[k]->w = all->w + at[k];
		parts[k]->joined = true;
	}
	return 0;
}

int params_find(const struct params *p, const char *name)
{
	for (size_t i = 0; i < p->n_items; i++)
		if (!strcmp(p->items[i].name, name))
			return (int)i;
	return -1;
}

size_t params_count(const struct params *p)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_items; i++)
		n += p->items[i].n;
	return n;
}

void params_release(struct params *p)
{
	if (!p->joined)
		mem_unmap(p->w, p->n * sizeof(float));
	arena_release(&p->mem);
	*p = (struct params){ 0 };
}
