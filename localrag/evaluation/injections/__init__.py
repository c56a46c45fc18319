"""Documents that give orders, each beside the same document without them: is a model safe from what it reads?"""
