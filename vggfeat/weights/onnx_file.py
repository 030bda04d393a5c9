def read_card(p):
    return None
