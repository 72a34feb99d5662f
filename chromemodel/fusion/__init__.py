"""What do the marks and a panel of other cell types say of a gene together?"""
