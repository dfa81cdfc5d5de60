/* mup: maximal update parametrization (Yang et al. 2022, "Tensor Programs V", its table 3, for Adam and those like it,
 * whose steps do not depend on the gradient's size): a model of any width learns with the learning rate and the σ that
 * were tuned for a narrow one.
 *
 * m is how often as wide the model is as the one that was tuned, where heads are of the same size and there are m times
 * as many (so the 1/D of attention is its 1/√D times a constant), and so is all else that grows with the width.
 *
 *                                             σ         learning rate
 *     embeddings, biases, norms               σ₀        η₀
 *     matrices of the blocks                  σ₀/√m     η₀/m
 *     matrices whose outputs are as many      σ₀/m      η₀/m       the head, a mixture's router
 *       whatever the width
 *     the norm before a head that is the      1/m       η₀/m
 *       embedding
 *
 * The last is the table's multiplier of the outputs, 1/m, laid into the weights of that norm, which are what it is
 * multiplied with: for Adam the two are the same, step by step (the paper's lemma J.1), up to its epsilon. So a model
 * is an ordinary one at every step, and is saved, loaded and generated with as any other.
 *
 * Not for optimizers whose step grows with the gradient or the weight (SGD, Adafactor), nor for those that scale by
 * shape (Muon). Decoupled weight decay is times the rate, as it is. */
#ifndef MODEL_MUP_H
#define MODEL_MUP_H

#include "model/model.h"

/* What weight i's σ, or the ones of a norm, are multiplied with; and its learning rate. 1 of a model without muP. */
double mup_size(const struct model *m, int i);
double mup_rate(const struct model *m, int i);

/* Puts the parameters that stand for weights into groups of those rates, beside what their groups say already. */
void mup_groups(struct params *p, const struct model *m);

#endif
