"""An input whose value the script prints."""

import streamlit as st

word = st.text_input("Word")
st.write(f"script {word}")
