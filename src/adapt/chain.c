/* chain: an adapter over another one that stays as it is: a frozen parent under a new child, as preferences are learnt
 * over what was tuned before. The overlays lie over each other (model/overlay.h), so whatever runs an adapter runs a
 * chain. Its folder names the parent, which lies in it (PARENT_KEY, PARENT_FOLDER); PEFT reads the child alone and says
 * which key it leaves out.
 *
 * A child is plain pairs of low rank: what begins from the weights under it (DoRA's lengths, PiSSA's directions,
 * modules saved whole) would begin from the model's, not from the parent's. */
#include "adapt/adapter.h"

#include "base/mem.h"

static const char reason[] = "it lies over another adapter; kungfu merge --combination-type cat makes one LoRA of both";

int adapter_chain(struct adapter *a, struct adapter *parent, const struct model *m, struct err *e)
{
	if (adapter_more(a, m) != PAIRS_ALONE || a->overlay.invocation.n)
		return err_set(e, "an adapter over another one is a LoRA of pairs alone (no DoRA, PiSSA, modules saved "
		                  "whole, invocation tokens), and this one of the type %s is more", a->type->name);
	parent->overlay.frozen = true;
	for (const struct overlay *o = parent->overlay.under; o; o = o->under)
		if (!o->frozen)
			BUG("a parent's parent that is trained");
	a->parent = parent;
	a->overlay.under = &parent->overlay;
	a->no_pairs = reason;
	json_object_set_new(a->config, PARENT_KEY, json_string(PARENT_FOLDER));
	return 0;
}

struct adapter *adapter_unchain(struct adapter *a)
{
	struct adapter *parent = a->parent;

	if (!parent)
		return NULL;
	a->parent = NULL;
	a->overlay.under = NULL;
	a->no_pairs = NULL;
	json_object_del(a->config, PARENT_KEY);
	return parent;
}
