/* The generator of enumeration.py over machine words: the same choices in the same order. See there for why it works.

   A choice of sites out of `size` is a word whose bit size - 1 is site 0. Tables hold one row an operation; a row of
   `image` has an entry a site, rows of `remaining` and `onto` an entry a bit length, as Operation.image and .split. */

#include <stdint.h>

typedef uint64_t word;

typedef struct {
    int64_t size, count, operations; /* the identity not among them */
    const word *image, *remaining, *onto; /* (operations, size + 1) */
    const word *forward, *still;          /* (operations) */
} Tables;

typedef struct {
    int64_t depth; /* -1 when done */
    word *prefix, *allowed;   /* (count): chosen so far; sites still to try */
    int64_t *number;          /* (count): how many operations matter */
    int32_t *operation;       /* (count, operations): which */
    word *images;             /* (count, operations): their images of the prefix without its last site */
    word *fixing;             /* (operations): room for the last sites with which an operation fixes a choice */
} Walk;

typedef struct {
    word *choices;
    int64_t *degeneracies;
    int64_t filled, capacity;
} Output;

static int bit_length(word w) { return w ? 64 - __builtin_clzll(w) : 0; }
static word bit(int64_t place) { return (word)1 << place; }
static word below(int64_t place) { return place < 64 ? bit(place) - 1 : ~(word)0; }

/* What an operation says of the sites behind a prefix: returns those that it allows. */
static word allowed_by(const Tables *t, int64_t g, word prefix, word image, word behind, int *matters, word *fixed)
{
    *fixed = 0;
    if (image == prefix) {
        *matters = 1;
        *fixed = t->still[g];
        return t->forward[g];
    }
    int length = bit_length(image ^ prefix);
    word remaining = t->remaining[g * (t->size + 1) + length];
    word onto = t->onto[g * (t->size + 1) + length];
    *matters = (onto & behind) || (behind & ~remaining);
    if (!(onto & behind))
        return remaining;
    word ours = prefix | onto, theirs = image | bit(length - 1);
    if (theirs == ours)
        *fixed = onto;
    return theirs > ours ? remaining & ~onto : remaining;
}

/* All completions of a prefix that lacks one site, the largest first. */
static void complete(const Tables *t, Walk *w, Output *out, int64_t d, word prefix, int64_t site, word behind)
{
    word last = behind, fixed;
    int64_t fixers = 0;
    int matters;
    for (int64_t i = 0; i < w->number[d] && last; i++) {
        int64_t g = w->operation[d * t->operations + i];
        word image = w->images[d * t->operations + i] | t->image[g * (t->size + 1) + site];
        last &= allowed_by(t, g, prefix, image, behind, &matters, &fixed);
        if (fixed & last)
            w->fixing[fixers++] = fixed;
    }
    while (last) {
        word chosen = bit(bit_length(last) - 1);
        int64_t stabiliser = 1;
        last ^= chosen;
        for (int64_t i = 0; i < fixers; i++)
            stabiliser += (w->fixing[i] & chosen) != 0;
        out->choices[out->filled] = prefix | chosen;
        out->degeneracies[out->filled++] = (t->operations + 1) / stabiliser;
    }
}

/* One site deeper: what may follow, and which operations matter to it. Returns whether anything may. */
static int descend(const Tables *t, Walk *w, int64_t d, word prefix, int64_t site, word behind)
{
    word allowed = behind & ~below(t->count - d - 2), fixed; /* the sites after it need room */
    int64_t kept = 0, to = (d + 1) * t->operations;
    int matters;
    for (int64_t i = 0; i < w->number[d] && allowed; i++) {
        int64_t g = w->operation[d * t->operations + i];
        word image = w->images[d * t->operations + i] | t->image[g * (t->size + 1) + site];
        allowed &= allowed_by(t, g, prefix, image, behind, &matters, &fixed);
        if (matters) {
            w->operation[to + kept] = (int32_t)g;
            w->images[to + kept++] = image;
        }
    }
    w->prefix[d + 1] = prefix;
    w->allowed[d + 1] = allowed;
    w->number[d + 1] = kept;
    return allowed != 0;
}

/* Stand before the first choice; count is at least one. */
void start(const Tables *t, Walk *w)
{
    w->depth = 0;
    w->prefix[0] = 0;
    w->number[0] = t->operations;
    w->allowed[0] = below(t->size) & ~below(t->count - 1);
    for (int64_t g = 0; g < t->operations; g++) {
        w->operation[g] = (int32_t)g;
        w->images[g] = 0;
        w->allowed[0] &= t->forward[g];
    }
}

/* Walk on until the output has no room for another family or the tree is done. */
void advance(const Tables *t, Walk *w, Output *out)
{
    out->filled = 0;
    if (w->depth == 0 && t->count == 1) {
        complete(t, w, out, 0, 0, t->size, below(t->size));
        w->depth = -1;
    }
    while (w->depth >= 0 && out->filled + 64 <= out->capacity) {
        int64_t d = w->depth;
        if (!w->allowed[d]) {
            w->depth--;
            continue;
        }
        int length = bit_length(w->allowed[d]);
        word chosen = bit(length - 1), prefix = w->prefix[d] | chosen;
        w->allowed[d] ^= chosen;
        if (d == t->count - 2)
            complete(t, w, out, d, prefix, t->size - length, chosen - 1);
        else if (descend(t, w, d, prefix, t->size - length, chosen - 1))
            w->depth++;
    }
}
