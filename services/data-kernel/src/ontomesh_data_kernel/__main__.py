"""`python -m ontomesh_data_kernel`: the data kernel's process."""

from ontomesh_data_kernel.main import main

if __name__ == "__main__":
    main()
